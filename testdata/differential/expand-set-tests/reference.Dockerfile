FROM 127.0.0.1:5000/library/busybox
ENV set=value empty=""
ENV a=default b=value c="" d=alternative e="" f=alternative
RUN env | grep -E '^[a-f]=' | sort > /out
