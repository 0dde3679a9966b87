//! Black-box tests: real servers, real clients, real boots.
