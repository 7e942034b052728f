"""A run's events where people already look: Prometheus, TensorBoard, MLflow."""
