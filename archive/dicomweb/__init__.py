"""PS3.18's grammar: media types, multipart, resources, problems, warnings."""
