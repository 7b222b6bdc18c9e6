"""The commands, by what they are about. Each imports its room when it runs, so that help is instant."""
