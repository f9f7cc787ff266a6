"""What the spread flow is compared with."""
