"""The web face of a desk: `server` is the application, `serving` puts it on a socket, `page` is what browsers get."""
