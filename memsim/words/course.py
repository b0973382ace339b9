"""Files of a reader's own course folder that memsim keeps beside the lessons."""

#: Which version of each file was handed out. A folder that has it is a reader's.
MANIFEST = ".memsim-course.json"
#: What the reader predicted and answered.
PROGRESS = "progress.json"
