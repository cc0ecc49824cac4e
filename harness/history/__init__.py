"""What runs came to over time: kept as one Parquet file per run, read back as trends per machine."""
