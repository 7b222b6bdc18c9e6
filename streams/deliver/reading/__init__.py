"""What Klaviyo is asked for beside the lanes: events that it took, and engagement."""
