"""What happened, told to others: events of each commit as CloudEvents, webhooks, and what a stream of them is made of."""
