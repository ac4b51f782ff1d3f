//! The gate over a real journal on a simulated disk: what producers are told, and what the log then holds.

mod cloudevents;
mod corpus;
mod directory;
mod fixture;
mod http;
mod order;
mod replay;
mod tcp;
mod tokens;
mod trouble;
