"""The coordinator's side: it holds no records and no decryption key. It never imports the client."""
