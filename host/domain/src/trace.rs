//! Trace files: a driver session as readable text.
