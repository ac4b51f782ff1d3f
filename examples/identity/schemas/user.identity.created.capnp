# An event of the uniform envelope: event, sequence, metadata, content. One file declares the stream, its table and its
# privacy: userId says whose data it is, email is kept as a keyed digest, pin is checked and forgotten.
@0xe6f1c0b7a5d39241;
using Metadata = import "metadata.capnp";
$Metadata.name("user.identity.created");

struct UserIdentityCreated $Metadata.event $Metadata.partitions(4) {
  event @0 :Text $Metadata.required;
  sequence @1 :UInt64;
  metadata @2 :Origin;
  content @3 :Content;

  struct Origin {
    published @0 :Int64 $Metadata.time("us");
    domain @1 :Text;
    entity @2 :Text;
    name @3 :Text;
  }

  struct Content {
    userId @0 :Text $Metadata.id;
    email @1 :Text $Metadata.hash.sha256;
    pin @2 :Int32 $Metadata.drop;
    status @3 :Status;
    age @4 :Int32;
    score @5 :Float64;
    active @6 :Bool;
    avatar @7 :Data;
    tags @8 :List(Text);
    counts @9 :List(Int64);
    logins @10 :List(Login);
    contact :union {
      phone @11 :Text;
      post @12 :Address;
      code @13 :Int32;
    }
  }

  struct Login { at @0 :Int64 $Metadata.time("ms"); place @1 :Address; }
  struct Address { street @0 :Text; zip @1 :Int32; }
  enum Status { new @0; known @1; gone @2; }
}
