//! Files to a configuration in which nothing can be wrong or unset.
