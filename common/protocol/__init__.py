"""The wire: signed frames, one message type a step, and their place in Flower's records."""
