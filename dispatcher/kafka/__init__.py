"""What all that speaks to Kafka shares: how it is reached, what topics must be like. See README.md here."""
