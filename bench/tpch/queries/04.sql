-- TPC-H Q4, order priority checking.
-- Validation values: DATE 1993-07-01.
-- TPC Benchmark H, Standard Specification 3.0.1, www.tpc.org, (c) Transaction Processing Performance Council.
select o_orderpriority, count(*) as order_count
from orders
where o_orderdate >= date '1993-07-01'
  and o_orderdate < date '1993-07-01' + interval '3' month
  and exists (
    select *
    from lineitem
    where l_orderkey = o_orderkey
      and l_commitdate < l_receiptdate
  )
group by o_orderpriority
order by o_orderpriority;
