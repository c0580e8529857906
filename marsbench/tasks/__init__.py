"""What real agents are asked to do: small repositories, a prompt, and a check of the result."""
