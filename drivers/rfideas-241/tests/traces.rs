//! Every file in `traces/`, natively and as the component.

cardinal_testkit::traces!(cardinal_rfideas_241::RfIdeas241);
