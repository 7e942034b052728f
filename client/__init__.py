"""The site's side: the only code that reads records. It never imports the server."""
