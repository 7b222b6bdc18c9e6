"""Fourth room: operations reach Klaviyo, once, in order, inside the budget."""
