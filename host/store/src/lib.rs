//! Records behind one trait: profiles, launches, tokens, secrets, keys.
