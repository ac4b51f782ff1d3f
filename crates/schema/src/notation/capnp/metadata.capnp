# Headwater's annotations. Import this file as "/headwater/metadata.capnp", or put a copy beside your schemas and
# import that: using Metadata = import "metadata.capnp";
@0xd1a7c3e5f0b24681;

# Of a field: whose data the event is. Of the struct or the file: the schema's own name.
annotation id @0xa5d0e1f2b3c4d501 (field) :Void;
annotation subject @0xa5d0e1f2b3c4d502 (field) :Void;

# How a field is protected. $Metadata.hash and $Metadata.Hash.sha256 are one: a keyed HMAC-SHA-256.
annotation hash @0xa5d0e1f2b3c4d503 (field) :Void;
struct Hash @0xa5d0e1f2b3c4d504 {
  annotation sha256 @0xa5d0e1f2b3c4d505 (field) :Void;
}
annotation tokenize @0xa5d0e1f2b3c4d506 (field) :Void;
annotation drop @0xa5d0e1f2b3c4d507 (field) :Void;

# What a field is to the stream.
annotation key @0xa5d0e1f2b3c4d508 (field) :Void;
annotation eventTime @0xa5d0e1f2b3c4d509 (field) :Void;
annotation required @0xa5d0e1f2b3c4d50a (field) :Void;

# Rules of a field's values. time is "s", "ms", "us" or "ns".
annotation time @0xa5d0e1f2b3c4d50b (field) :Text;
annotation format @0xa5d0e1f2b3c4d50c (field) :Text;
annotation pattern @0xa5d0e1f2b3c4d50d (field) :Text;
annotation minimum @0xa5d0e1f2b3c4d50e (field) :Float64;
annotation maximum @0xa5d0e1f2b3c4d50f (field) :Float64;
annotation minLength @0xa5d0e1f2b3c4d510 (field) :UInt32;
annotation maxLength @0xa5d0e1f2b3c4d511 (field) :UInt32;
annotation precision @0xa5d0e1f2b3c4d512 (field) :UInt8;
annotation scale @0xa5d0e1f2b3c4d513 (field) :UInt8;

# Of a field that is tokenized: the tokens' domain, and which tokens.
annotation tokenDomain @0xa5d0e1f2b3c4d51a (field) :Text;
annotation tokenFormat @0xa5d0e1f2b3c4d51b (field) :Text;

# Where the values of older rows come from: a field that had another name, or an SQL expression.
annotation renamedFrom @0xa5d0e1f2b3c4d51c (field) :Text;
annotation from @0xa5d0e1f2b3c4d51d (field) :Text;

# Of the struct that is the event.
annotation event @0xa5d0e1f2b3c4d514 (struct) :Void;
annotation name @0xa5d0e1f2b3c4d518 (struct, file) :Text;
annotation partitions @0xa5d0e1f2b3c4d515 (struct, file) :UInt16;
annotation mode @0xa5d0e1f2b3c4d516 (struct, file) :Text;
annotation extra @0xa5d0e1f2b3c4d517 (struct, file) :Text;
annotation retention @0xa5d0e1f2b3c4d519 (struct, file) :Text;
