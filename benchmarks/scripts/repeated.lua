-- sysbench 1.0: one text again and again, on the table of oltp_point_select.
function thread_init()
   drv = sysbench.sql.driver()
   con = drv:connect()
end

function event()
   con:query("SELECT c FROM sbtest1 WHERE id = 471")
end

function thread_done()
   con:disconnect()
end
