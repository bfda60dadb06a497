//! The flow: stack, store and providers opened, observed, planned, applied.
