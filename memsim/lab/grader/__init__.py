"""Grades what students hand in; their code runs behind walls, in a process that judges nothing."""
