"""What the line would make of messages: the rooms put together in memory, without a broker or a network."""
