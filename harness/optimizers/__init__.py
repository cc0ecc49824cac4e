"""Is an optimizer right? Every optimizer of `torch.optim`, and users' own, against its published update rule."""
