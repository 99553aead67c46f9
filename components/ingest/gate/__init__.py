"""What stands between the data and everything that learns: anomalies, drift and skew stop the run."""
