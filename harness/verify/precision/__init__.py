"""Low precision: a subject in float32, float16 or bfloat16 against the truth, an eager yardstick and a policy."""
