"""What a step of a model does, traced without data; what devices make of it, fitted and calibrated."""
