ARG tag=wrong
FROM 127.0.0.1:5000/library/busybox:${tag}
ARG given=default
ARG notgiven=default
ARG bare
ARG list1=a
ARG list2=b
RUN echo "$given|$notgiven|$bare|$list1|$list2" > /out
ENV kept=$given
LABEL given=${given} bare="[${bare}]"
