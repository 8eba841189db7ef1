"""What the pages share. Each module has one idea; none of them imports a chapter."""
