"""A whole federation on this machine: real processes, real TLS, real faults."""
