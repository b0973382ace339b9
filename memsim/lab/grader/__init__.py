"""The grader: the process that runs a student's code never judges it."""
