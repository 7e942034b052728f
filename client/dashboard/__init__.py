"""A site's dashboard, for its data steward: what only this site may see. It sends nothing anywhere."""
