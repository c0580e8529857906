"""Whether KV in host memory makes a scheduler unnecessary: `python -m studies.host_kv`."""
