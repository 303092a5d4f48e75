"""Several workers on one Kafka, which is their journal: see dispatcher/kafka/README.md and `part.py` here."""
