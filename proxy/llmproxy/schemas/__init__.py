"""Values that fit a JSON Schema, made up: arguments of tools, structured output.

``values.make`` is the entry; it knows nothing of models or providers. A schema is a stranger's:
everything here is bounded in steps, depth and size, and fetches nothing.
"""
