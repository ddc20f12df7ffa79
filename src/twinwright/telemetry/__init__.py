"""From payloads to readings: contracts, decoding, validation, duplicates, dead letters, the journal and the pipeline."""
