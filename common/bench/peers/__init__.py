"""Programs that one system's own interpreter runs, with its pinned requirements; nothing imports them."""
