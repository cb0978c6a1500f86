//! The chapters of the guide, as documentation tests.
