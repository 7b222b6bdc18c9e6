"""Who gets what: the one place where stages meet the engine and the rules."""

from streams.engine.stage import Context, Stage

ORDER = ("dedupe", "identify", "route", "deliver", "feedback")
"""The stages in the order of the line."""


def build(name: str, context: Context) -> Stage:
    """A stage with what it needs. Imports stand here so that a process loads its own room only."""
    match name:
        case "dedupe":
            from streams.dedupe.agent import Dedupe

            return Dedupe(context)
        case "identify":
            from streams.identify.agent import Identify
            from streams.route.rules import compile_rules

            return Identify(context, compile_rules(context.config).wanted)
        case "route":
            from streams.route.agent import Route

            return Route(context)
        case "deliver":
            from streams.deliver.agent import Deliver

            return Deliver(context)
        case "feedback":
            from streams.feedback.agent import Feedback

            return Feedback(context)
    raise ValueError(f"no stage {name!r}; there are {', '.join(ORDER)}")
