"""Tables, migrations and the engine; the only package that knows the database drivers."""
