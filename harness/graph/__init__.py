"""torch callable → computation graph: values on nodes, local partial derivatives on edges."""
