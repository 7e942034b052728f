"""Record to tensor and back; one file is one modality."""
