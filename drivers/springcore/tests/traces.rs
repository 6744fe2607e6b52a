//! Every file in `traces/`, natively and as the component.

cardinal_testkit::traces!(cardinal_springcore::SpringCore);
