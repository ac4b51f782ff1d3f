-- Ninety sums.
SELECT
  sum(resolution_width + 0), sum(resolution_width + 1), sum(resolution_width + 2), sum(resolution_width + 3), sum(resolution_width + 4),
  sum(resolution_width + 5), sum(resolution_width + 6), sum(resolution_width + 7), sum(resolution_width + 8), sum(resolution_width + 9),
  sum(resolution_width + 10), sum(resolution_width + 11), sum(resolution_width + 12), sum(resolution_width + 13), sum(resolution_width + 14),
  sum(resolution_width + 15), sum(resolution_width + 16), sum(resolution_width + 17), sum(resolution_width + 18), sum(resolution_width + 19),
  sum(resolution_width + 20), sum(resolution_width + 21), sum(resolution_width + 22), sum(resolution_width + 23), sum(resolution_width + 24),
  sum(resolution_width + 25), sum(resolution_width + 26), sum(resolution_width + 27), sum(resolution_width + 28), sum(resolution_width + 29),
  sum(resolution_width + 30), sum(resolution_width + 31), sum(resolution_width + 32), sum(resolution_width + 33), sum(resolution_width + 34),
  sum(resolution_width + 35), sum(resolution_width + 36), sum(resolution_width + 37), sum(resolution_width + 38), sum(resolution_width + 39),
  sum(resolution_width + 40), sum(resolution_width + 41), sum(resolution_width + 42), sum(resolution_width + 43), sum(resolution_width + 44),
  sum(resolution_width + 45), sum(resolution_width + 46), sum(resolution_width + 47), sum(resolution_width + 48), sum(resolution_width + 49),
  sum(resolution_width + 50), sum(resolution_width + 51), sum(resolution_width + 52), sum(resolution_width + 53), sum(resolution_width + 54),
  sum(resolution_width + 55), sum(resolution_width + 56), sum(resolution_width + 57), sum(resolution_width + 58), sum(resolution_width + 59),
  sum(resolution_width + 60), sum(resolution_width + 61), sum(resolution_width + 62), sum(resolution_width + 63), sum(resolution_width + 64),
  sum(resolution_width + 65), sum(resolution_width + 66), sum(resolution_width + 67), sum(resolution_width + 68), sum(resolution_width + 69),
  sum(resolution_width + 70), sum(resolution_width + 71), sum(resolution_width + 72), sum(resolution_width + 73), sum(resolution_width + 74),
  sum(resolution_width + 75), sum(resolution_width + 76), sum(resolution_width + 77), sum(resolution_width + 78), sum(resolution_width + 79),
  sum(resolution_width + 80), sum(resolution_width + 81), sum(resolution_width + 82), sum(resolution_width + 83), sum(resolution_width + 84),
  sum(resolution_width + 85), sum(resolution_width + 86), sum(resolution_width + 87), sum(resolution_width + 88), sum(resolution_width + 89)
FROM hits;
