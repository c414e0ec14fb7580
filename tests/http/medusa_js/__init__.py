"""Medusa's own client, `@medusajs/medusa-js`, in Node, against this server."""
