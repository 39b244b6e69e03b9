"""The report of a reader study: every figure from one data set, with n, unit and method, or a refusal in words."""
