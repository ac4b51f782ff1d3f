@0xb1c5d9e3f7a20843;
const answer :Int32 = 42;

struct Every {
  bool @0 :Bool = true;
  i8 @1 :Int8 = -7;
  i16 @2 :Int16;
  i32 @3 :Int32 = .answer;
  i64 @4 :Int64 = -9223372036854775808;
  u8 @5 :UInt8 = 0xff;
  u16 @6 :UInt16;
  u32 @7 :UInt32;
  u64 @8 :UInt64;
  f32 @9 :Float32 = 0.5;
  f64 @10 :Float64 = -1.5e300;
  text @11 :Text = "a \"default\"";
  data @12 :Data = 0x"00 ff";
  kind @13 :Kind = second;
  nothing @14 :Void;
  bools @15 :List(Bool);
  shorts @16 :List(Int16);
  doubles @17 :List(Float64);
  texts @18 :List(Text);
  blobs @19 :List(Data);
  kinds @20 :List(Kind);
  matrix @21 :List(List(UInt8));
  points @22 :List(Point);
  point @23 :Point;
  group :group { a @24 :Bool; b @25 :UInt16; inner :group { c @26 :Text; } }
  choice :union { none @27 :Void; whole @28 :Int64; words @29 :Text; point @30 :Point; list @31 :List(Int32); }
  union { left @32 :Int8; right :group { x @33 :Float64; y @34 :Text; } }
  tree @35 :Tree;

  struct Point { x @0 :Float32; y @1 :Float32; label @2 :Text; }
  struct Tree { value @0 :Int32; children @1 :List(Tree); }
  enum Kind { first @0; second @1; third @2; }
}
