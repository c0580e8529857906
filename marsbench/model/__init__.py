"""A model that answers without a GPU: recorded responses, behind real queueing at a server."""
